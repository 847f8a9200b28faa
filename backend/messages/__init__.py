"""Every text of server and commands for people: English in the code, each other language in one file (.po).

A further language is a folder ``<code>/LC_MESSAGES/messages.po`` beside this file, and nothing else.
"""
