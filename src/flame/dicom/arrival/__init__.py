"""How instances come in: folders, PACS and DICOMweb, the desk at the door, and the store behind it."""
