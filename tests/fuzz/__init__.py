"""Bad input, drawn by coverage: everything that reads what others wrote, each with what must hold for any bytes.

``targets/``   one check for each reader: raises nothing but what it documents, and what is read survives the way back
``tape``       bytes as a source of choices, so that mutated bytes become almost valid values
``corpus/``    seeds of each target, one input a file
``found/``     inputs that once broke something, named for what they did
``worker``     one target under atheris (``make fuzz``; needs the extra ``fuzz``)
``__main__``   all of them, side by side, and a table

``test_replay`` plays corpus and findings without atheris, ``test_properties`` has hypothesis draw more.
"""
