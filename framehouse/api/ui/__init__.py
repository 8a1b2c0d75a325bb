"""The page under /ui/: server-rendered, every file of it from this server, no script but its own."""
