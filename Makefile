# `make up` starts the hub, `make test` tests it, `make prove` breaks it and counts, `make fuzz` asks it anything,
# `make bench` measures it. All of it stands in hub/bootstrap.py.

.PHONY: help up test prove fuzz bench bench-scale bench-steady notebooks lint clean

help:
	@python3 hub/bootstrap.py help

up:
	@python3 hub/bootstrap.py up

test:
	@python3 hub/bootstrap.py test $(ARGS)

prove:
	@python3 hub/bootstrap.py prove $(ARGS)

fuzz:
	@python3 hub/bootstrap.py fuzz $(ARGS)

bench:
	@python3 hub/bootstrap.py bench $(if $(ONLY),--only $(ONLY)) $(ARGS)

bench-scale:
	@python3 hub/bootstrap.py bench-scale $(if $(ONLY),--only $(ONLY)) $(ARGS)

bench-steady:
	@python3 hub/bootstrap.py bench-steady $(ARGS)

notebooks:
	@python3 hub/bootstrap.py notebooks $(ARGS)

lint:
	@python3 hub/bootstrap.py lint

clean:
	@python3 hub/bootstrap.py clean
