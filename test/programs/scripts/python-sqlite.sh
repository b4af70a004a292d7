# python3: sqlite.
# needs: /usr/bin/python3
# limit: 120
/usr/bin/python3 "$SCRIPTS/python-sqlite.py"
