"""Onboarding of enterprises (企业入驻): application, review, prefix. Pure."""
