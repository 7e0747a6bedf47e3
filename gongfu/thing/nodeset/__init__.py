"""OPC UA information models as XML (OPC 10000-6 Annex F, UANodeSet): a thing model is an ObjectType."""
