"""The network of the paper, one file per stage; `occflow_net` wires them, `build` sizes them."""
