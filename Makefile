# `make up` starts the hub, `make test` tests it, `make prove` breaks it and counts. All of it stands in hub/bootstrap.py.

.PHONY: help up test prove notebooks lint clean

help:
	@python3 hub/bootstrap.py help

up:
	@python3 hub/bootstrap.py up

test:
	@python3 hub/bootstrap.py test $(ARGS)

prove:
	@python3 hub/bootstrap.py prove $(ARGS)

notebooks:
	@python3 hub/bootstrap.py notebooks $(ARGS)

lint:
	@python3 hub/bootstrap.py lint

clean:
	@python3 hub/bootstrap.py clean
