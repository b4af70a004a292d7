# python3: threading.
# needs: /usr/bin/python3
# limit: 120
/usr/bin/python3 "$SCRIPTS/python-threading.py"
