"""What those who run the gateway ask of it: does it live, and how is it doing."""
