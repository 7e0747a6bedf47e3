"""W3C Web of Things: Thing Models and Thing Descriptions 1.1 (https://www.w3.org/TR/wot-thing-description11/)."""
