"""What is there and not in state: finding it, taking it in, writing manifests for it, building a lost state anew.

It reads the API and makes bindings. It makes no mutating call, and decides nothing about what is to happen.
"""
