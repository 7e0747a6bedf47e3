"""GS1 identifiers in web addresses, and the resolver that answers them (GS1 Digital Link, GS1-Conformant Resolver)."""
