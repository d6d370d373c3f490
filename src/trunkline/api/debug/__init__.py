"""What a server says about itself when something is wrong with it."""
