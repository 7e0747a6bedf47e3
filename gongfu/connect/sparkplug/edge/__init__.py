"""Edge node role: the points of this node, published to the MQTT server of a host above."""
