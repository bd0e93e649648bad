"""The container agent: pure machines (`task`, `containers`) in a thin shell, over the `Runtime` port."""
