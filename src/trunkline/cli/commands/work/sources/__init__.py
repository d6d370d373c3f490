"""Where specs come from, and what becomes of their images before they are sent."""
