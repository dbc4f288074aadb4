"""Ways out for programs that do not ask in GraphQL; one module each."""
