"""The study of one claim: does clearance fall from 72 hours to 8, under which conditions, and through which lever?"""
