"""The web frontend: its built files, and one page (the shell) for every address of the app.

build.py reads what `frontend/scripts/build.mjs` made; pages.py answers the addresses of
frontend/src/routing/paths.json with the shell, whose head described.py writes; assets.py serves
everything else that is a file, sitemap.py and atom.py what programs read.
"""
