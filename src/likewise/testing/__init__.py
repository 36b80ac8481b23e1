"""For those who write methods: contract checks, numeric oracles, and real processes to test losses on.

:mod:`likewise.testing.contract` runs every check that fits a method (``likewise check my_module:MyMethod``).
:mod:`likewise.testing.oracle` compares equations, value and gradient, with recorded numbers.
:mod:`likewise.testing.pool` keeps processes that talk over gloo.
"""
