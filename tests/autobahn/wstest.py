"""Starts the suite's command under PyPy 2.7, without what only its other modes need.

OpenSSL's bindings have no wheel for this PyPy and nothing here speaks TLS: an empty module stands in for Twisted's.
"""
import os
import site
import sys
import types
import unittest

site.addsitedir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".suite", "site"))

import twisted.internet

ssl = types.ModuleType("twisted.internet.ssl")
ssl.ClientContextFactory = object
sys.modules["twisted.internet.ssl"] = twisted.internet.ssl = ssl
# The serializer mode imports its tests, which ask for the back-port of what Python 2.7 has.
sys.modules["unittest2"] = unittest

from autobahntestsuite import wstest

wstest.run()
