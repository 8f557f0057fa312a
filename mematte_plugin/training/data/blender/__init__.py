"""Path-traced subjects, hair and fur above all, by Blender's Python module `bpy`.

This package runs in a process of its own (`python -m blender JOB.json` from the folder above),
because bpy needs a Python and a numpy of its own choice: it imports numpy and bpy only, nothing of
the package around it. `forms`, `growth` and `subjects` say what there is to see, in plain numpy;
`scene` builds and renders it.
"""
