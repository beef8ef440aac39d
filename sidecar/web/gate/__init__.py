"""The fast path: gate and watch requests, answered from bytes that are rendered in advance."""
