"""The web frontend: its built files, and one page (the shell) for every address of the app.

build.py reads what `frontend/scripts/build.mjs` made; pages.py answers the addresses of
frontend/src/routing/paths.json with the shell, assets.py everything else that is a file.
"""
