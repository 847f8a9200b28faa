"""A merchant's products: stated once, they fill every later form."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.errors import Invalid
from backend.domain.kinds import CERTIFIED
from backend.domain.parties import Role
from backend.services.products import add_product
from backend.web.context import current_context, only, person
from backend.web.forms.documents import ProductForm
from backend.web.pages import blueprint


@blueprint.get("/products")
@only(Role.MERCHANT)
def products() -> str:
    """All of them."""
    with current_context().work(reading=True) as work:
        own = work.products.of(person().organisation)
    return render_template("pages/products.html", products=own)


@blueprint.route("/products/new", methods=["GET", "POST"])
@only(Role.MERCHANT)
def new_product() -> ResponseReturnValue:
    """Add one."""
    form = ProductForm()
    if request.method == "POST":
        try:
            product = add_product(current_context(), person(), form.document)
        except Invalid as error:
            form.show(error.problems)
            return render_template("pages/product_new.html", form=form), 422
        flash(_("The product is saved. Next: state its certificate of origin."))
        return redirect(url_for("pages.product", product_id=product.id))
    return render_template("pages/product_new.html", form=form)


@blueprint.get("/products/<product_id>")
@only(Role.MERCHANT)
def product(product_id: str) -> str:
    """One product with its papers."""
    with current_context().work(reading=True) as work:
        own = person().organisation
        found = work.products.get(product_id, own)
        papers = work.records.of(own, product=found)
    return render_template("pages/product.html", product=found, papers=papers, certified=CERTIFIED)
