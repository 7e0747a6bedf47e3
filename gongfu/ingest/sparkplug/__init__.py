"""Sparkplug B host application: sessions of edge nodes, order of their messages, rebirths, STATE, commands."""
