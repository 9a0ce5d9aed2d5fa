"""Real clusters for anybody's tests. The pytest plugin is `guildmark.testing.plugin`; it loads by itself."""
