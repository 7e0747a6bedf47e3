"""App: condition of pumps and control valves from an energy balance: efficiency, wear, leakage, cavitation."""
