"""Live Tennessee Eastman plant as an ordinary MQTT client."""
