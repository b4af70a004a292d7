# python3: select.
# needs: /usr/bin/python3
# limit: 120
/usr/bin/python3 "$SCRIPTS/python-select.py"
