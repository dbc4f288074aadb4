"""What an operator sees of the hub at work: figures for `/metrics`, slow statements in the log, traces.

None of it says who asked, what with, or where anything is more exactly than a ward. `figures` are the counters,
`requests` counts what comes in, `statements` times what the database is asked, `rounds` looks at what has a state,
`door` is `/metrics`, and `traces` speaks to a collector where one is configured.
"""
