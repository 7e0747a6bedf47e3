"""Several front doors that are one broker (docs/front-door.md): links, interest, hand-over of sessions, retained."""
