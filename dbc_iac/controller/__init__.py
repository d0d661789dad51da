"""The controller: reconciles many stacks again and again, on one machine or several, with PostgreSQL as their queue."""
