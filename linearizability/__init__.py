"""Is a history of concurrent operations linearizable? For the simulator, the soak and tests.

operations   what clients saw
linear       the question for a whole history
register     the question for one key
"""
