"""Objects outside the state: discovery, import, generated manifests, and rebuilding of a lost state.

Reads the API and returns bindings. Makes no mutating call.
"""
