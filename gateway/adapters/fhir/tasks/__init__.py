"""Provider queries as Tasks, with their forms and answers."""
