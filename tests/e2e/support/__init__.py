"""What the end-to-end tests share: a server to start, kill and ask; events to send; a runner."""
