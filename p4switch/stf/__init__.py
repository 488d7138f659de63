"""Packet tests without a network, in the STF language.

script    the language: text to statements
runner    runs them on a pipeline: ``python -m p4switch.stf PROG.p4 TEST.stf``
"""
