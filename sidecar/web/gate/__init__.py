"""The fast path: gate and watch requests, answered from pre-rendered bytes."""
