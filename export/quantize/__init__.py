"""Network -> Program: grids, integers and operators."""
