"""``coordinator ui``: a page that shows what stands in etcd and why. It reads, and never decides or writes.

``server``      the process: a socket, TLS, signals
``app``         the application: what all addresses have in common
``views/``      one module for each view: its addresses under ``/api/v1``, and the paths at which the page shows it
``live``        what stands in etcd, followed by list and watch: one reading for the whole process
``questions``   etcd is asked in threads, by few at a time, within a time limit
``answers``     JSON, and errors as JSON
``paths``       names in addresses
``headers``     what browsers may do with the page
``hosts``       by which names the page may be asked for
``static/``     the page itself: HTML, CSS and JavaScript modules as they are, without a build
"""
