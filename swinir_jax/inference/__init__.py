"""Images of any size through the network: padding, tiling, memory, the Restorer."""
