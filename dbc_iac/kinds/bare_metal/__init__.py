"""BareMetalServer, BareMetalManager and BareMetalInstance."""
