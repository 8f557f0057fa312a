"""The web demo: the page of `mematte demo`, which alone in its folder is a Hugging Face Space.

`app` is the Space's entry; `serving` starts the same page from a program. Nothing is imported here,
so that the command line can look for the package without paying for Gradio.
"""
