"""Work on arrays that knows no layer."""
