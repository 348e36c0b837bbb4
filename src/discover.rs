//! Which servers and configuration trees exist under a root.
