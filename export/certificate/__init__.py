"""The document for the people who build the device."""
