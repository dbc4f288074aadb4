"""Photos of incidents: how they come in, are made anew, and go out.

`door` answers the routes, `kinds` tells by its first bytes what a file is, `developing` hands it to a process of its
own, which runs `darkroom`. What a photo is in the county stands in `schema/photos.py`.
"""
